"""The paper's figures, a module a subject. Each file carries its caption and its provenance."""
