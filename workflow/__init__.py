"""How the experiment is run: stage scripts, and what DVC, Snakemake and MLflow are told."""

import os

# Before NumPy is loaded: on all cores, stages that run side by side would fight for them, and their last digits would
# depend on the number of cores. What is large is torch's, whose threads params set.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
