"""Handing a trained run on: a folder that `eri.load` takes, with its model as ONNX and a model card."""

from eri.exports.folder import ExportReport, export_run

__all__ = ["ExportReport", "export_run"]
