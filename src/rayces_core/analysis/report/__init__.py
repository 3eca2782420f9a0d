"""The report of a month: twelve questions that a director asks, answered with figures, charts and definitions.

`monthly(date(2026, 10, 1))` asks them within `with db.tenant(...)`; the Report gives itself as one HTML file, as a PDF
and as an Excel workbook. Everything is asked in one snapshot of the database.
"""

from rayces_core.analysis.report.monthly import ENDINGS, Report, ending_of, last_month, month_of, monthly

__all__ = ["ENDINGS", "Report", "ending_of", "last_month", "month_of", "monthly"]
