from .patients import (
    check_visits_together as check_visits_together,
    patient_of as patient_of,
    patients_of as patients_of,
)
from .schema import Cohort as Cohort, Modality as Modality, Subject as Subject, default_group as default_group
from .splits import (
    draw_folds as draw_folds,
    draw_splits as draw_splits,
    kinds_from_list as kinds_from_list,
    splits_from_list as splits_from_list,
)
from .subject_images import (
    SubjectImages as SubjectImages,
    check_same_grid as check_same_grid,
    read_subject_images as read_subject_images,
)
from .table import read_cohort as read_cohort, read_table as read_table, write_cohort as write_cohort
