"""Reports that people open: what a run predicts well and badly, what runs differ in, what a data set holds."""

from eri.reports.pages.data_report import NAME as DATA_PAGE
from eri.reports.pages.data_report import report_data
from eri.reports.pages.run_report import report

__all__ = ["DATA_PAGE", "report", "report_data"]
