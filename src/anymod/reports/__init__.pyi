from .intervals import Mean as Mean
from .intervals import bootstrap_mean as bootstrap_mean
from .intervals import subject_means as subject_means
from .tables import format_mean as format_mean
from .tables import json_rows as json_rows
from .tables import markdown_table as markdown_table
from .tables import write_rows as write_rows
