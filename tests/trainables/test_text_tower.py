"""Text towers: every family of encoder read as its authors publish it, and what is refused and with which words."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from radsweep.datasets.pairs import Reading
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import Vocabulary, join, load_tokenizer
from radsweep.trainables import vision_ops
from radsweep.trainables.certificate import Case, certify
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.random_rows import RandomState, Rows
from radsweep.trainables.text_tower import HuggingFaceText, TextTower, TinyText, mean_over_tokens

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pas", "de", "fracture", "arth", "##rose", "."]
REPORTS = [["pas de fracture."], ["fracture.", "pas de fracture.", "fracture"]]
SIZE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
FAMILIES = ["bert", "xlmr", "sapbert", "camembert", "modernbert", "mmbert", "mluke"]
POSITIONS = dict.fromkeys(["xlmr", "sapbert", "camembert", "mluke"], 38) | {"bert": 40, "modernbert": 64, "mmbert": 64}


def sentencepiece_model() -> bytes:
    """A small sentencepiece model, numbered as those of XLM-R, CamemBERT and mLUKE are: <unk>, <s>, </s>, pieces."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    sentences = iter(["pas de fracture.", "arthrose débutante.", "radiographie normale du genou droit"] * 5)
    SentencePieceTrainer.train(
        sentence_iterator=sentences, model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    return model.getvalue()


def write_tokenizer(family: str, folder: Path) -> None:
    """Write the tokenizer files that the family's folders have on the hub."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertTokenizerFast, CamembertTokenizer, PreTrainedTokenizerFast, XLMRobertaTokenizer

    pieces = folder / "sentencepiece.bpe.model"
    if family == "bert":
        (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
        BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    elif family in ("modernbert", "mmbert"):
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] if family == "modernbert" else ["<pad>", "<unk>", "<bos>", "<eos>"]
        roles = ["pad", "unk", "cls", "sep"] if family == "modernbert" else ["pad", "unk", "bos", "eos"]
        words = [*names, *WORDS[5:]]
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=names[1]))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = {f"{role}_token": name for role, name in zip(roles, names, strict=True)}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    else:
        pieces.write_bytes(sentencepiece_model())
        if family == "mluke":
            (folder / "entity_vocab.json").write_text(json.dumps({"[MASK2]": 0, "[PAD]": 1, "[UNK]": 2, "[MASK]": 3}))
            special = {"additional_special_tokens": ["<ent>", "<ent2>"], "entity_mask_token": "[MASK]"}
            (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MLukeTokenizer"} | special))
        else:
            kind = CamembertTokenizer if family == "camembert" else XLMRobertaTokenizer
            kind.from_pretrained(str(pieces)).save_pretrained(folder)
            pieces.unlink()


def write_encoder(family: str, folder: Path) -> None:
    """Write a tiny encoder of the family, under the class that its authors saved."""
    import transformers

    sizes = SIZE | {"vocab_size": load_tokenizer("tiny-fr").vocabulary.size}
    roberta = {"max_position_embeddings": 40, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    modern = {"max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "local_attention": 8}
    modern |= {"cls_token_id": 2, "sep_token_id": 3}
    if family == "bert":
        model = transformers.BertForMaskedLM(transformers.BertConfig(**sizes, max_position_embeddings=40))
    elif family == "xlmr":
        model = transformers.XLMRobertaForMaskedLM(transformers.XLMRobertaConfig(**sizes, **roberta))
    elif family == "sapbert":
        model = transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**sizes, **roberta))
    elif family == "camembert":
        model = transformers.CamembertForMaskedLM(transformers.CamembertConfig(**sizes, **roberta))
    elif family == "mluke":
        entities = {"entity_vocab_size": 5, "entity_emb_size": 8}
        model = transformers.LukeForMaskedLM(transformers.LukeConfig(**sizes, **roberta, **entities))
    else:
        model = transformers.ModernBertForMaskedLM(transformers.ModernBertConfig(**sizes, **modern, attention_dropout=0.1))
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a tiny encoder of every family."""
    torch.manual_seed(0)
    folders = {family: tmp_path_factory.mktemp(family) for family in FAMILIES}
    for family, folder in folders.items():
        write_encoder(family, folder)
        write_tokenizer(family, folder)
    return folders


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest, encoders: dict[str, Path]) -> Path:
    """The folder of a tiny encoder, of each family in turn."""
    return encoders[request.param]


def batch_of(folder: Path) -> tuple[Vocabulary, torch.Tensor, torch.Tensor]:
    """Two reports of unequal length as the stream gives them."""
    tokenizer = load_tokenizer(str(folder))
    texts = [join(tokenizer.encode(report), tokenizer.vocabulary, 32).tolist() for report in REPORTS]
    length = max(map(len, texts))
    assert len({len(text) for text in texts}) == 2
    ids = torch.tensor([text + [tokenizer.vocabulary.pad_id] * (length - len(text)) for text in texts])
    return tokenizer.vocabulary, ids, torch.arange(length) < torch.tensor([[len(text)] for text in texts])


def tower_of(folder: Path, **options: Any) -> HuggingFaceText:
    """The configuration of a tower from a folder."""
    return HuggingFaceText.model_validate({"tokenizer": str(folder)} | options)


def test_tiny_text_ignores_padding() -> None:
    """Padding, however long and whatever its ids, changes no report's features."""
    torch.manual_seed(0)
    tower = TinyText(width=16, depth=2, heads=2).build(load_tokenizer("tiny-fr").vocabulary).eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    padded, mask = torch.tensor([[2, 5, 6, 3, 7, 0, 9]]), torch.arange(7)[None] < 4
    assert torch.allclose(tower(ids, torch.ones(1, 4, dtype=torch.bool)), tower(padded, mask), atol=1e-5)


def test_mean_over_tokens_by_hand() -> None:
    """Only real tokens count."""
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    assert mean_over_tokens(states, torch.tensor([[True, True, False]])).tolist() == [[2.0, 4.0]]


def test_every_family_gives_its_own_states(encoder: Path) -> None:
    """``cls`` is the first state and ``mean`` the mean of a report that transformers encodes alone, without padding.

    Of mLUKE these are the word states of `transformers.LukeModel` without entities.
    """
    from transformers import AutoModel

    vocabulary, ids, mask = batch_of(encoder)
    published = AutoModel.from_pretrained(encoder).eval()
    with torch.no_grad():
        states = [published(row[real][None]).last_hidden_state[0] for row, real in zip(ids, mask, strict=True)]
        for pooling, expected in {"cls": [one[0] for one in states], "mean": [one.mean(0) for one in states]}.items():
            config = tower_of(encoder, pooling=pooling)
            config.check()
            tower = config.build(vocabulary).eval()
            assert tower.num_features == 16
            assert torch.allclose(tower(ids, mask), torch.stack(expected), atol=1e-5)


def test_mluke_is_the_roberta_of_its_words(encoders: dict[str, Path]) -> None:
    """With mLUKE's word weights a `transformers.RobertaModel` gives the same features; no entity weight is kept."""
    from safetensors.torch import load_file
    from transformers import RobertaConfig, RobertaModel

    vocabulary, ids, mask = batch_of(encoders["mluke"])
    tower = tower_of(encoders["mluke"], pooling="mean").build(vocabulary).eval()
    known = json.loads((encoders["mluke"] / "config.json").read_text())
    names = [*SIZE, "vocab_size", "max_position_embeddings", "type_vocab_size", "pad_token_id", "layer_norm_eps"]
    roberta = RobertaModel(RobertaConfig(**{name: known[name] for name in names}), add_pooling_layer=False).eval()
    published = load_file(encoders["mluke"] / "model.safetensors")
    weights = {name.removeprefix("luke."): weight for name, weight in published.items()}
    roberta.load_state_dict({name: weights[name] for name in roberta.state_dict() if name in weights}, strict=False)
    assert {name for name, _ in roberta.named_parameters()} <= set(weights)
    states = roberta(ids, mask.long()).last_hidden_state
    assert torch.allclose(tower(ids, mask), mean_over_tokens(states, mask), atol=1e-5)
    assert not any("entity" in name or "2e" in name for name, _ in tower.named_parameters())


def test_every_parameter_is_in_one_layer_and_has_a_gradient(encoder: Path) -> None:
    """Embeddings, then each block in turn; none idle, as a pooler would be; freezing takes them from the input side."""
    vocabulary, ids, mask = batch_of(encoder)
    tower = tower_of(encoder).build(vocabulary)
    layers = tower.layers()
    assert len(layers) == 1 + SIZE["num_hidden_layers"]
    assert sorted(map(id, chain(*layers))) == sorted(map(id, tower.parameters()))
    assert any(len(parameter) == tower.get_submodule("encoder").config.vocab_size for parameter in layers[0])
    shapes = [sorted(tuple(parameter.shape) for parameter in layer) for layer in layers[2:]]
    assert all(set(shape) <= set(shapes[-1]) for shape in shapes)
    (tower(ids, mask) * torch.randn(16)).sum().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters())

    half = tower_of(encoder, freeze=2).build(vocabulary).train()
    trained = [[parameter.requires_grad for parameter in layer] for layer in half.layers()]
    assert not any(chain(*trained[:2]))
    assert all(chain(*trained[2:]))
    (half(ids, mask) * torch.randn(16)).sum().backward()


def test_a_frozen_tower_has_no_dropout(encoder: Path) -> None:
    """``all`` takes every parameter out of training and keeps evaluation mode, also after ``train()``."""
    vocabulary, ids, mask = batch_of(encoder)
    frozen = tower_of(encoder, freeze="all").build(vocabulary).train()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert torch.equal(frozen(ids, mask), frozen(ids, mask))
    trained = tower_of(encoder).build(vocabulary).train()
    assert not torch.equal(trained(ids, mask), trained(ids, mask))


def test_gradient_checkpointing_gives_the_same_gradient(encoder: Path) -> None:
    """Blocks that are computed again, with the same dropout, give every parameter the gradient it has anyway."""
    vocabulary, ids, mask = batch_of(encoder)
    gradients, recomputed = [], []
    for grad_checkpointing in (False, True):
        config = tower_of(encoder, grad_checkpointing=grad_checkpointing, pooling="mean")
        config.check()
        tower = config.build(vocabulary).train()
        forwards: list[int] = []
        last = max((part for part in tower.modules() if isinstance(part, torch.nn.Linear)), key=lambda part: part.out_features)
        last.register_forward_hook(lambda *_, forwards=forwards: forwards.append(1))
        torch.manual_seed(0)
        tower(ids, mask).square().sum().backward()
        gradients.append([parameter.grad for parameter in tower.parameters()])
        recomputed.append(len(forwards))
    assert recomputed == [1, 2]
    for plain, again in zip(*gradients, strict=True):
        assert torch.allclose(plain, again, rtol=1e-4, atol=1e-6)


def test_mixed_precision_stays_close(encoder: Path) -> None:
    """Under bfloat16 autocast features are finite and those of float32 to bfloat16's precision."""
    vocabulary, ids, mask = batch_of(encoder)
    tower = tower_of(encoder, pooling="mean").build(vocabulary).eval()
    with torch.autocast("cpu", torch.bfloat16):
        features = tower(ids, mask)
    assert torch.allclose(features.float(), tower(ids, mask), atol=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tower_says_how_long_a_report_it_reads(family: str, encoders: dict[str, Path]) -> None:
    """As many tokens as there are positions; RoBERTa's begin after the padding id, two later."""
    positions = POSITIONS[family]
    config = tower_of(encoders[family])
    assert config.positions() == positions
    vocabulary, ids, _ = batch_of(encoders[family])
    longest = ids[:1, :1].expand(1, positions)
    tower = config.build(vocabulary).eval()
    assert tower(longest, torch.ones_like(longest, dtype=torch.bool)).isfinite().all()
    if family not in ("modernbert", "mmbert"):  # rotary positions have no end
        with pytest.raises((IndexError, RuntimeError)):
            tower(longest[:, :1].expand(1, positions + 1), torch.ones(1, positions + 1, dtype=torch.bool))
    assert TinyText(max_tokens=40).positions() == 40


def test_a_vocabulary_of_another_encoder_is_refused(encoders: dict[str, Path]) -> None:
    """More ids than the encoder has, another padding id, or other tokenizer files: said without reading weights."""
    config = tower_of(encoders["bert"])
    own = load_tokenizer(config.tokenizer).vocabulary
    known = load_tokenizer("tiny-fr").vocabulary.size
    config.matches(own)
    too_many = rf"9999 tokens.*{known} tokens.*do not belong together.*text\.tokenizer and text\.model"
    for refuse in (config.matches, config.build):
        with pytest.raises(UserError, match=too_many):
            refuse(dataclasses.replace(own, size=9999))
        with pytest.raises(UserError, match=r"padding 1.*padding 0.*do not belong together"):
            refuse(dataclasses.replace(own, pad_id=1))
        with pytest.raises(UserError, match="radsweep tokenize"):
            refuse(dataclasses.replace(own, sha256="another"))


def test_a_changed_word_list_is_refused() -> None:
    """The tiny encoder reads the built-in words of this version."""
    own = load_tokenizer("tiny-fr").vocabulary
    TinyText().matches(own)
    with pytest.raises(UserError, match=r"tiny-fr.*radsweep tokenize"):
        TinyText().matches(dataclasses.replace(own, sha256="another"))


def test_weights_of_another_class_are_no_random_start(encoders: dict[str, Path], tmp_path: Path) -> None:
    """A ModernBERT's weights under a BERT's config.json are refused, not filled up at random."""
    shutil.copytree(encoders["bert"], tmp_path / "mixed")
    shutil.copy(encoders["modernbert"] / "model.safetensors", tmp_path / "mixed")
    with pytest.raises(UserError, match=r"lack embeddings.*config\.json \(bert\)"):
        tower_of(tmp_path / "mixed").build(load_tokenizer(str(tmp_path / "mixed")).vocabulary)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TinyText(width=10, heads=4), r"text\.width 10.*text\.heads 4"),
        (TinyText(tokenizer="other"), r"text\.tokenizer.*tiny-fr or tiny-en"),
        (TinyText(grad_checkpointing=True), r"text\.grad_checkpointing"),
        (TinyText(depth=2, freeze=4), r"freeze is 4, but the tower has 3 layers"),
    ],
)
def test_tiny_encoders_that_cannot_be_built_are_refused(config: TextTower, message: str) -> None:
    """A width that heads do not divide, foreign words, more layers than there are, memory nobody needs."""
    with pytest.raises(UserError, match=message):
        config.check()


def test_more_frozen_layers_than_there_are_is_refused(encoders: dict[str, Path]) -> None:
    """The answer says how many there are; no weights are read for it."""
    with pytest.raises(UserError, match="freeze is 5, but the tower has 4 layers"):
        tower_of(encoders["bert"], freeze=5).check()
    tower = TinyText(depth=2, freeze=2).build(load_tokenizer("tiny-fr").vocabulary)
    trained = [[parameter.requires_grad for parameter in layer] for layer in tower.layers()]
    assert [any(layer) for layer in trained] == [all(layer) for layer in trained] == [False, False, True]


def test_a_folder_without_weights_is_refused(encoders: dict[str, Path], tmp_path: Path) -> None:
    """A tokenizer's folder is not yet an encoder's: that is said before any machine is taken."""
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(encoders["bert"] / name, tmp_path)
    with pytest.raises(UserError, match=r"no whole encoder.*model\.safetensors"):
        tower_of(tmp_path).check()


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


def test_a_cached_encoder_asks_no_network(encoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the hub's cache is checked and built without looking for a host; what is not there is looked for."""
    snapshot = tmp_path / "models--lab--encoder" / "snapshots" / ("0" * 40)
    shutil.copytree(encoders["bert"], snapshot)
    (tmp_path / "models--lab--encoder" / "refs").mkdir()
    (tmp_path / "models--lab--encoder" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hosts: list[object] = []

    def no_network(host: object, *_: object, **__: object) -> None:
        hosts.append(host)
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts
    config = HuggingFaceText(tokenizer="lab/encoder")
    config.check()
    assert config.build(load_tokenizer("lab/encoder").vocabulary).num_features == 16
    assert not hosts
    with pytest.raises(UserError, match="hf download lab/other"):
        HuggingFaceText(tokenizer="lab/other").check()
    assert hosts


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


def test_every_family_is_certified(encoder: Path) -> None:
    """Beside a tiny image tower, with its own dropout on and off, its gradient in chunks is that of the plain batch."""
    config = PretrainConfig(
        image=TinyImage(width=8, resolution=32),
        text=tower_of(encoder),
        data=Reading(max_tokens=24),
        embed_dim=12,
        batch_size=8,
        image_chunk_size=4,
        text_chunk_size=4,
    )
    cases = [Case(1, 3, "fp32"), Case(1, 3, "fp32", dropout=False), Case(1, 3, "bf16")]
    told = certify(config, load_tokenizer(str(encoder)).vocabulary, cases, num_draws=8)
    assert not [one for comparisons in told for one in comparisons if not one.holds]


def test_every_family_in_parts_draws_what_it_draws_at_once(encoder: Path) -> None:
    """With its own dropout on, five reports encoded two, two and one are the five encoded together."""
    config = tower_of(encoder)
    torch.manual_seed(0)
    model = config.build(load_tokenizer(str(encoder)).vocabulary).train()
    input_ids, text_mask = torch.randint(5, 30, (5, 12)), torch.arange(12) < torch.tensor([[12], [9], [3], [7], [12]])
    start = RandomState(torch.device("cpu"))
    with torch.no_grad():
        whole = model(input_ids, text_mask)
        assert not torch.equal(model(input_ids, text_mask), whole)
        for first, count in ((0, 2), (2, 2), (4, 1)):
            start.restore()
            with Rows(first, count, 5):
                part = model(input_ids[first : first + count], text_mask[first : first + count])
            torch.testing.assert_close(part, whole[first : first + count], rtol=1e-4, atol=1e-5)
