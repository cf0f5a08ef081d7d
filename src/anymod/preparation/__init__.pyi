from .archives import ARCHIVES as ARCHIVES, find_in_archive as find_in_archive
from .checking import check_cohort as check_cohort
from .findings import CheckReport as CheckReport, Finding as Finding, text_table as text_table
from .folder_source import (
    FoundSubject as FoundSubject,
    find_subjects as find_subjects,
    unused_folders as unused_folders,
)
from .html_report import REPORT as REPORT, write_report as write_report
from .options import PreparationOptions as PreparationOptions, Source as Source, SplitChoice as SplitChoice
from .pipeline import Prepared as Prepared, prepare_cohort as prepare_cohort
from .sources import (
    merge_source as merge_source,
    prepare_source as prepare_source,
    prepare_source_shard as prepare_source_shard,
)
