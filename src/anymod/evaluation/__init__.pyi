from .calibration import calibrate as calibrate
from .dorent2024 import (
    dorent2024_text as dorent2024_text,
    evaluate_dorent2024 as evaluate_dorent2024,
    write_dorent2024_report as write_dorent2024_report,
)
from .options import EvaluationOptions as EvaluationOptions
from .protocol import Evaluation as Evaluation, evaluate as evaluate
from .report import printed_text as printed_text, write_report as write_report
from .scores import Score as Score
