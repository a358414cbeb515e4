"""The prediction service: models/model.onnx behind HTTP. It imports nothing of pipelines/; files are the contract."""
