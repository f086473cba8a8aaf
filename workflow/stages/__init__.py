"""One thin script a stage: read params and inputs, call the science, write the outputs.

Run as python -m workflow.stages.NAME.
"""
