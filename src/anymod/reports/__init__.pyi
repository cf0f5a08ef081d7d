from .intervals import Mean as Mean, bootstrap_mean as bootstrap_mean, subject_means as subject_means
from .tables import (
    format_mean as format_mean,
    json_rows as json_rows,
    markdown_table as markdown_table,
    write_rows as write_rows,
)
