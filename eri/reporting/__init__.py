"""Reports that people open: what a run predicts well and badly, what runs differ in, what a data set holds."""

from eri.reporting.data_report import NAME as DATA_PAGE
from eri.reporting.data_report import report_data
from eri.reporting.run_report import report

__all__ = ["DATA_PAGE", "report", "report_data"]
