#!/usr/bin/env bash
# A sweep as one Slurm job: a Ray cluster over its nodes for as long as the sweep runs. Edit the marked values, then
#   sbatch docs/cluster/slurm.sh demo /shared/pairs /shared/run --set trials=64
# Submitted again, or queued again after a preemption or a lost node, the sweep goes on with what its run folder holds.
#SBATCH --job-name=radsweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --output=radsweep-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Ray is stopped on the job's nodes at its end, every Ray of this account there: nodes are not shared.
#SBATCH --exclusive
set -euo pipefail
question=$1 data=$2 out=$3
shift 3

environment=/shared/radsweep/venv # <- made with constraints.txt, radsweep installed; the same path on every node
export PATH="$environment/bin:$PATH"
export HF_HOME=/shared/huggingface HF_HUB_OFFLINE=1
export RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true
export RAY_AUTH_MODE=token # the token is ~/.ray/auth_token; make it once with `ray get-auth-token --generate`
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$head:$((20000 + SLURM_JOB_ID % 10000))"
resume=() options=()
if [ -f "$out/sweep.json" ]; then resume=(--resume); fi
while [ $# -gt 0 ]; do
  if [ "$1" = --extend ] && [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    shift # queued again: these trials were added when the job ran first
  else
    options+=("$1")
  fi
  shift
done

ulimit -n "$(ulimit -H -n)"
srun ray symmetric-run --address "$address" --min-nodes "$SLURM_NNODES" --num-cpus "$SLURM_CPUS_PER_TASK" -- \
  radsweep sweep "$question" --data "$data" --out "$out" --address "$address" "${resume[@]}" "${options[@]}"
