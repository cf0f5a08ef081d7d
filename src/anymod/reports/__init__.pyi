from .intervals import Mean as Mean
from .intervals import bootstrap_mean as bootstrap_mean
from .tables import aligned as aligned
from .tables import format_mean as format_mean
from .tables import plain as plain
from .tables import write_rows as write_rows
