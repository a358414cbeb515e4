"""The servers that `serve.py` compares the service with, each as somebody would write it who has the model and an hour.

They find the files by `BENCH_MODELS` (model.onnx, signature.json) and `BENCH_PIPELINE` (scikit-learn's, pickled).
"""
