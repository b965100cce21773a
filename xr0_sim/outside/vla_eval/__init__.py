"""Both halves of vla-eval: our policies as one of its model servers, our tasks as its benchmark.

These modules are imported by vla-eval's own Python, which needs none of our dependencies; what they
stand for runs in ours, see `ours`.
"""
