"""The report: one HTML file that opens offline, verdict first."""

from pipeline.report.data import Choices, Pair, Reading, ReportData
from pipeline.report.page import render_report

__all__ = ["Choices", "Pair", "Reading", "ReportData", "render_report"]
