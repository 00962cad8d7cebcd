"""Image and text towers: what is built, what is refused, and with which words."""

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import Vocabulary, join, load_tokenizer
from radsweep.trainables import vision_ops
from radsweep.trainables.image_tower import TimmImage, TinyImage
from radsweep.trainables.model import pool
from radsweep.trainables.text_tower import HuggingFaceText, TinyText, mean_over_tokens

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pas", "de", "fracture", "arth", "##rose", "."]


def test_tiny_image_takes_any_resolution() -> None:
    """One finite feature vector per image, from 16 px on, the same alone and among others."""
    for resolution in (16, 64, 100):
        torch.manual_seed(0)
        tower = TinyImage(width=8, resolution=resolution).build().eval()
        images = torch.randint(0, 256, (3, resolution, resolution), dtype=torch.uint8)
        features = tower(images)
        assert features.shape == (3, tower.num_features)
        assert features.isfinite().all()
        assert torch.allclose(tower(images[1:2]), features[1:2], atol=1e-6)


def test_an_unknown_timm_model_is_named_with_its_neighbours() -> None:
    """A typing error is answered with models that exist."""
    with pytest.raises(UserError, match=r"'vit_tiny_patch16_24'.*did you mean .*vit_tiny_patch16_224"):
        TimmImage(name="vit_tiny_patch16_24").check()
    with pytest.raises(UserError, match="did you mean vit_base_patch16_224"):
        TimmImage(name="@@@@").check()


@pytest.mark.parametrize("name", ["resnet18", "skresnet18"])
def test_batch_normalization_is_refused(name: str) -> None:
    """Its statistics would depend on the chunk size; also where a single image could not be normalized at all."""
    with pytest.raises(UserError, match=rf"{name} has batch normalization.*ConvNeXt"):
        TimmImage(name=name, resolution=64).check()


@pytest.mark.parametrize(("resolution", "patch_size", "num_tokens"), [(96, 8, 144), (64, 16, 16), (96, None, 36)])
def test_a_vit_has_the_grid_it_is_asked_for(resolution: int, patch_size: int | None, num_tokens: int) -> None:
    """Resolution over patch size, squared, is the number of patches; the model's own patches are 16 px."""
    config = TimmImage(name="test_vit", resolution=resolution, patch_size=patch_size)
    config.check()
    tower = config.build().eval()
    assert tower.get_submodule("backbone.patch_embed").num_patches == num_tokens
    features = tower(torch.zeros(2, resolution, resolution, dtype=torch.uint8))
    assert features.shape == (2, tower.num_features)


def test_a_resolution_that_cuts_patches_is_refused() -> None:
    """100 px in patches of 8 would lose the last 4 of every row and column without a word."""
    with pytest.raises(UserError, match=r"100 px.*divisible by patch size \(8\)"):
        TimmImage(name="test_vit", resolution=100, patch_size=8).check()


def test_a_patch_size_where_there_is_none_is_refused() -> None:
    """A ConvNeXt has no patches to set."""
    with pytest.raises(UserError, match=r"image\.patch_size"):
        TimmImage(name="test_convnext2", resolution=64, patch_size=8).check()


@pytest.mark.parametrize("name", ["test_convnext2", "test_mambaout"])
def test_convnets_say_how_wide_they_are(name: str) -> None:
    """``num_features`` is the width that comes out, also of a model with a wider head than body."""
    config = TimmImage(name=name, resolution=64)
    config.check()
    tower = config.build().eval()
    assert tower(torch.zeros(2, 64, 64, dtype=torch.uint8)).shape == (2, tower.num_features)


def test_three_channels_repeat_the_image() -> None:
    """The first kernel summed over its channels, on one channel, is the same tower."""
    images = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    three = TimmImage(name="test_vit", resolution=64, in_chans=3).build().eval()
    one = TimmImage(name="test_vit", resolution=64, in_chans=1).build().eval()
    weights = three.state_dict()
    kernel = "backbone.patch_embed.proj.weight"
    assert weights[kernel].shape[1] == 3
    one.load_state_dict(weights | {kernel: weights[kernel].sum(1, keepdim=True)})
    assert torch.allclose(three(images), one(images), atol=1e-4)


def test_weights_that_cannot_be_had_are_the_users_mistake(tmp_path: Path) -> None:
    """A checkpoint that is not there, or is none, is named with ways out."""
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    for name in ("missing.pth", "broken.pth"):
        with pytest.raises(UserError, match=r"test_vit.*cannot be loaded.*image\.pretrained"):
            TimmImage(name="test_vit", resolution=64, pretrained=tmp_path / name).check()


def test_local_weights_are_resized_to_another_grid(tmp_path: Path) -> None:
    """A checkpoint of 160 px in patches of 16 starts a tower of 64 px in patches of 8: same width, other grid, same blocks."""
    import timm

    torch.manual_seed(0)
    source = timm.create_model("test_vit")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    tower = TimmImage(name="test_vit", resolution=64, patch_size=8, pretrained=tmp_path / "weights.pth").build()
    block = "blocks.0.attn.qkv.weight"
    assert torch.equal(tower.get_parameter(f"backbone.{block}"), source.get_parameter(block))
    assert tower.get_parameter("backbone.pos_embed").shape[1] == 64 + 1


def test_tiny_text_ignores_padding() -> None:
    """Padding, however long and whatever its ids, changes no report's features."""
    torch.manual_seed(0)
    tower = TinyText(width=16, depth=2, heads=2).build(Vocabulary("tiny-fr", "", 20, 0, 2, 3, 1)).eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    padded, mask = torch.tensor([[2, 5, 6, 3, 7, 0, 9]]), torch.arange(7)[None] < 4
    assert torch.allclose(tower(ids, torch.ones(1, 4, dtype=torch.bool)), tower(padded, mask), atol=1e-5)
    with pytest.raises(UserError, match=r"text\.width 10.*text\.heads 4"):
        TinyText(width=10, heads=4).check()


def test_mean_over_tokens_by_hand() -> None:
    """Only real tokens count."""
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    assert mean_over_tokens(states, torch.tensor([[True, True, False]])).tolist() == [[2.0, 4.0]]


def test_pooling_is_the_normalised_mean_of_a_draws_images() -> None:
    """A vector with itself is itself, two at a right angle meet in the middle, single images stay as they are."""
    features = torch.tensor([[0.6, 0.8], [0.6, 0.8], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    expected = torch.tensor([[0.6, 0.8], [0.5**0.5, 0.5**0.5], [-1.0, 0.0]])
    assert torch.allclose(pool(features, torch.tensor([2, 2, 1])), expected)
    assert pool(features, torch.ones(5, dtype=torch.long)) is features


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT and its tokenizer, as transformers saves them."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny XLM-RoBERTa and its sentencepiece tokenizer, as transformers saves them."""
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

    folder = tmp_path_factory.mktemp("xlmr")
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0) for word in WORDS[5:8])]
    tokenizer = XLMRobertaTokenizerFast(vocab=[*pieces, ("▁", -5.0), (".", -2.0), ("<mask>", 0.0)])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    return folder


def batch_of(folder: Path) -> tuple[Vocabulary, torch.Tensor, torch.Tensor]:
    """Two reports of unequal length as the stream gives them."""
    tokenizer = load_tokenizer(str(folder))
    reports = [["pas de fracture."], ["fracture.", "pas de fracture.", "fracture"]]
    texts = [join(tokenizer.encode(report), tokenizer.vocabulary, 32).tolist() for report in reports]
    length = max(map(len, texts))
    ids = torch.tensor([text + [tokenizer.vocabulary.pad_id] * (length - len(text)) for text in texts])
    return tokenizer.vocabulary, ids, torch.arange(length) < torch.tensor([[len(text)] for text in texts])


@pytest.mark.parametrize("kind", ["bert", "xlmr"])
def test_hugging_face_encoders_give_their_own_states(kind: str, request: pytest.FixtureRequest) -> None:
    """``cls`` is the first state and ``mean`` the mean of a report that transformers encodes alone, without padding."""
    from transformers import AutoModel

    folder = request.getfixturevalue(kind)
    vocabulary, ids, mask = batch_of(folder)
    encoder = AutoModel.from_pretrained(folder).eval()
    lengths = mask.sum(1).tolist()
    assert len(set(lengths)) == 2
    with torch.no_grad():
        states = [encoder(row[None, :length]).last_hidden_state[0] for row, length in zip(ids, lengths, strict=True)]
        for pooling, expected in {"cls": [one[0] for one in states], "mean": [one.mean(0) for one in states]}.items():
            config = HuggingFaceText.model_validate({"tokenizer": str(folder), "pooling": pooling})
            config.check()
            tower = config.build(vocabulary).eval()
            assert tower.num_features == 16
            assert torch.allclose(tower(ids, mask), torch.stack(expected), atol=1e-5)


def test_saved_tokenizers_keep_their_roles(bert: Path, xlmr: Path) -> None:
    """BERT's and XLM-R's special ids are found under their own names; words become their ids, without special tokens."""
    one, other = load_tokenizer(str(bert)), load_tokenizer(str(xlmr))
    roles = [(v.size, v.pad_id, v.unk_id, v.cls_id, v.sep_id) for v in (one.vocabulary, other.vocabulary)]
    assert roles == [(len(WORDS), 0, 1, 2, 3), (10, 1, 3, 0, 2)]
    assert one.encode(["Pas de fracture.", "arthrose"]) == [[5, 6, 7, 10], [8, 9]]
    assert other.encode(["pas de fracture"]) == [[4, 5, 6]]


def test_a_vocabulary_of_another_encoder_is_refused(bert: Path) -> None:
    """More ids than the encoder has, another padding id, or other tokenizer files: they do not belong together."""
    own = load_tokenizer(str(bert)).vocabulary
    config = HuggingFaceText(tokenizer=str(bert))
    config.build(own)
    with pytest.raises(UserError, match=r"50 tokens.*11 tokens.*do not belong together.*text\.tokenizer and text\.model"):
        config.build(dataclasses.replace(own, size=50))
    with pytest.raises(UserError, match=r"padding 1.*padding 0.*do not belong together"):
        config.build(dataclasses.replace(own, pad_id=1))
    with pytest.raises(UserError, match="radsweep tokenize"):
        config.build(dataclasses.replace(own, sha256="another"))


def test_a_tower_says_how_long_a_report_it_reads(bert: Path, xlmr: Path) -> None:
    """BERT reads as many tokens as it has positions; RoBERTa's begin after the padding id, two later."""
    assert TinyText(max_tokens=40).positions() == 40
    assert HuggingFaceText(tokenizer=str(bert)).positions() == 512
    assert HuggingFaceText(tokenizer=str(xlmr)).positions() == 38
    vocabulary, ids, _ = batch_of(xlmr)
    longest = ids[:1, :1].expand(1, 38)
    tower = HuggingFaceText(tokenizer=str(xlmr)).build(vocabulary).eval()
    tower(longest, torch.ones_like(longest, dtype=torch.bool))
    with pytest.raises((IndexError, RuntimeError)):
        tower(torch.cat([longest, longest[:, :1]], 1), torch.ones(1, 39, dtype=torch.bool))


def test_a_folder_without_weights_is_refused(bert: Path, tmp_path: Path) -> None:
    """A tokenizer's folder is not yet an encoder's: that is said before any machine is taken."""
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(bert / name, tmp_path)
    with pytest.raises(UserError, match=r"no whole encoder.*model\.safetensors"):
        HuggingFaceText(tokenizer=str(tmp_path)).check()


def test_offline_a_missing_encoder_is_refused_at_once() -> None:
    """With HF_HUB_OFFLINE=1 a hub id that is not cached is the user's mistake, with the command that fetches it."""
    program = (
        "from radsweep.datasets.refusal import UserError\n"
        "from radsweep.trainables.text_tower import HuggingFaceText\n"
        "try:\n    HuggingFaceText(tokenizer='nobody/no-such-encoder').check()\n"
        "except UserError as error:\n    print(error)\n"
    )
    start = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "hf download nobody/no-such-encoder" in told.stdout
    assert time.monotonic() - start < 30


def test_torchvision_is_judged_as_it_is() -> None:
    """In a new process ``compiled_operators_load`` says whether nms is there afterwards, and timm and transformers import."""
    program = (
        "from radsweep.trainables import vision_ops\n"
        "import torch\n"
        "load = vision_ops.compiled_operators_load()\n"
        "real = torch._C._dispatch_has_kernel_for_dispatch_key('torchvision::nms', 'CPU')\n"
        "import timm, transformers\n"
        "from transformers import BertModel\n"
        "print(load == real)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert told.stdout.split() == ["True"]
    assert set(vision_ops.SCHEMAS) == {"nms", "qnms"}
