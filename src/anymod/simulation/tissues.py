"""Tissues and their MR parameters.

Sources, by the letters in the table: (a) the abstract was read, (q) as quoted in published simulation code.
    A  Wright et al., MAGMA 21:121 (2008) (a), 1.5 / 3 T: T1 of white matter 646 / 838, cortex 1197 / 1607, putamen 1084 / 1332,
       caudate 1109 / 1395 ms
    B  Stanisz et al., Magn Reson Med 54:507 (2005) (q), excised tissue, 1.5 / 3 T: T2 of white matter 72 / 69, grey 95 / 99 ms; T1 and T2
       of blood 1441, 290 / 1932, 275, muscle 1008, 44 / 1412, 50 ms
    C  Rooney et al., Magn Reson Med 57:308 (2007) (q): T1 of putamen 1.16 ms (f/Hz)^0.376, 998 / 1295 ms; of CSF 4.3 s at any field
    D  Peters et al., Magn Reson Imaging 25:748 (2007) (q), 1.5 / 3 T: T2* of grey matter 84.0 / 66.0, white 66.2 / 53.2, caudate
       58.8 / 41.3, putamen 55.5 / 31.5 ms
    E  BrainWeb's tissue_mr_parameters.txt (q), 1.5 T: density of CSF 1, grey matter 0.86, white 0.77, fat 1, muscle 1; fat's T1, T2, T2*
       350, 70, 58 ms; T2* of CSF 58 (too short for pure fluid), muscle 30 ms
    F  de Bazelaire et al., Radiology 230:652 (2004) (a), 3 T: T1 and T2 of subcutaneous fat 382, 68, of vertebral marrow 586, 49 ms
    G  "Quantification of T1 and T2 of subarachnoid CSF", PMC10696635 (a), 3 T: T1, T2 of CSF 4309, 1886 around the brain, 4454, 2373 ms
       in the ventricles
    H  Gelman et al., Radiology 210:759 (1999) (a), 3 T: R2 and R2' of the pallidum 25.8, 12.0 /s, hence T2 39, T2* 26 ms (white matter by
       the same method: T2 56 ms)
    J  Wansapura et al., J Magn Reson Imaging 9:531 (1999) (q), 3 T: T1, T2 of white matter 832, 80, grey 1331, 110 ms
    I  Chosen by this project to resemble clinical images. Measured values of lesions vary widely: T2 200-357 ms within gliomas of grades
       II and III (doi 10.1186/s12883-019-1590-1), 125-250 ms in tumour that does not enhance (Ellingson et al.,
       escholarship.org/uc/item/8bd4f17f); at 3 T, T1 1850-3200 and T2 115-225 ms where glioma takes up methionine (abstract "Comparison
       of magnetic resonance relaxometry and apparent diffusion coefficient for tissue cell density quantification in glioma imaging")
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Tissue(IntEnum):
    """Tissues, numbered as the rows of an array of tissue fractions."""

    AIR = 0
    CSF = 1
    GREY = 2
    WHITE = 3
    DEEP_GREY = 4
    PALLIDUM = 5
    BRAIN_STEM = 6
    CHOROID = 7
    VESSEL = 8
    NECROSIS = 9
    OEDEMA = 10
    ENHANCING = 11
    BONE = 12
    MARROW = 13
    FAT = 14
    MUSCLE = 15
    SOLID = 16
    DURA = 17


TUMOUR_LABELS = {Tissue.NECROSIS: 1, Tissue.SOLID: 1, Tissue.OEDEMA: 2, Tissue.ENHANCING: 4}  # as in the BraTS archives
# (left, right) values of a tissue map. All nuclei except the pallidum have the value of the thalamus; tumours that of FreeSurfer's lesions.
FREESURFER_VALUES: dict[Tissue, tuple[int, int]] = {
    Tissue.AIR: (0, 0),
    Tissue.CSF: (24, 24),
    Tissue.GREY: (3, 42),
    Tissue.WHITE: (2, 41),
    Tissue.DEEP_GREY: (10, 49),
    Tissue.PALLIDUM: (13, 52),
    Tissue.BRAIN_STEM: (16, 16),
    Tissue.CHOROID: (31, 63),
    Tissue.VESSEL: (30, 62),
    Tissue.NECROSIS: (25, 57),
    Tissue.OEDEMA: (25, 57),
    Tissue.ENHANCING: (25, 57),
    Tissue.SOLID: (25, 57),
    Tissue.DURA: (24, 24),  # as in SynthSeg's maps, where the falx is part of the fluid around the brain
    Tissue.BONE: (165, 165),
    Tissue.MARROW: (165, 165),
    Tissue.FAT: (258, 258),
    Tissue.MUSCLE: (258, 258),
}
OUTSIDE_BRAIN = (Tissue.AIR, Tissue.BONE, Tissue.MARROW, Tissue.FAT, Tissue.MUSCLE)  # removed by skull-stripping


@dataclass(frozen=True)
class Relaxation:
    """Relaxation times [ms] at one field strength."""

    t1: float
    t2: float
    t2_star: float


@dataclass(frozen=True)
class Substance:
    """MR parameters of one tissue.

    Attributes:
        density: proton density relative to water.
        at_1_5_tesla: relaxation at 1.5 T.
        at_3_tesla: relaxation at 3 T.
        gadolinium: concentration of contrast agent [mmol/l of tissue] minutes after a single dose.
        heterogeneity: variation of its parameters in space, relative to that of healthy parenchyma.
        flows: whether its spins leave the slice between excitation and refocusing (dark in spin echoes).
    """

    density: float
    at_1_5_tesla: Relaxation
    at_3_tesla: Relaxation
    gadolinium: float = 0.0
    heterogeneity: float = 1.0
    flows: bool = False


_NOTHING = Relaxation(1000.0, 1.0, 1.0)
# gadolinium: I. Blood and enhancing tumour a few minutes after injection (0.1 mmol/kg in an extracellular space of 0.2 l/kg is 0.5 mmol/l
# of plasma); in intact brain only the blood contains it. The values are rather high: "Quantitative T1 mapping indicates tumor infiltration
# beyond the enhancing part of glioblastomas" (2020, abstract) reports that T1 falls by 838 ms in enhancing tumour, 123 in oedema and 32 in
# normal tissue; these values give 1280, 160 and 50 (white) to 390 ms (grey matter) at 3 T.
SUBSTANCES: dict[Tissue, Substance] = {
    Tissue.AIR: Substance(0.0, _NOTHING, _NOTHING, heterogeneity=0.0),
    # T1 I (shorter than C and G by 3-7 %), T2 G, T2* I, density E
    Tissue.CSF: Substance(1.0, Relaxation(4070.0, 2000.0, 1000.0), Relaxation(4160.0, 2000.0, 800.0), 0.0, 0.3),
    # T1 A and T2 B at 1.5 T, both J at 3 T (A and B made grey matter darker in T1 and brighter in T2 than in real images), T2* D, density E
    Tissue.GREY: Substance(0.86, Relaxation(1197.0, 95.0, 84.0), Relaxation(1331.0, 110.0, 66.0), 0.04),
    Tissue.WHITE: Substance(0.77, Relaxation(646.0, 72.0, 66.0), Relaxation(832.0, 80.0, 53.0), 0.015),
    # Thalamus, caudate, putamen: T1 at 1.5 T between A and C, T2 below cortex because of iron (I), both at 3 T as far below J's grey matter
    # as A's and C's are below A's (I), T2* D, density I (E's grey matter, rounded down)
    Tissue.DEEP_GREY: Substance(0.84, Relaxation(1020.0, 84.0, 57.0), Relaxation(1120.0, 88.0, 40.0), 0.04),
    # I: T1 between white matter and the other nuclei, T2 and T2* the shortest in the brain because of iron (H: similar T2*, shorter T2)
    Tissue.PALLIDUM: Substance(0.78, Relaxation(770.0, 66.0, 40.0), Relaxation(1010.0, 58.0, 28.0), 0.03),
    # I: a mixture of grey and white matter, between them
    Tissue.BRAIN_STEM: Substance(0.79, Relaxation(740.0, 80.0, 68.0), Relaxation(930.0, 86.0, 54.0), 0.02),
    # I: between grey matter and CSF; a vascular tissue without a blood-brain barrier
    Tissue.CHOROID: Substance(0.92, Relaxation(1500.0, 160.0, 90.0), Relaxation(1900.0, 150.0, 75.0), 0.45, 2.0),
    # T1, T2 B, the rest I
    Tissue.VESSEL: Substance(0.9, Relaxation(1441.0, 290.0, 120.0), Relaxation(1932.0, 275.0, 60.0), 0.55, 1.0, True),
    # I, like all lesions. Necrosis and cysts: proteinaceous fluid with shorter times than CSF
    Tissue.NECROSIS: Substance(0.93, Relaxation(2300.0, 290.0, 150.0), Relaxation(2700.0, 290.0, 120.0), 0.03, 2.5),
    Tissue.OEDEMA: Substance(0.88, Relaxation(1250.0, 155.0, 110.0), Relaxation(1480.0, 172.0, 90.0), 0.015, 2.0),
    Tissue.ENHANCING: Substance(0.87, Relaxation(1250.0, 125.0, 85.0), Relaxation(1600.0, 132.0, 65.0), 0.5, 2.5),
    # Solid glioma that does not enhance
    Tissue.SOLID: Substance(0.89, Relaxation(1350.0, 165.0, 115.0), Relaxation(1650.0, 185.0, 95.0), 0.03, 2.0),
    # I: collagen, dark without contrast agent; no blood-brain barrier
    Tissue.DURA: Substance(0.65, Relaxation(900.0, 25.0, 15.0), Relaxation(1100.0, 23.0, 12.0), 0.35, 1.5),
    # I: cortical bone gives almost no signal within clinical echo times
    Tissue.BONE: Substance(0.06, Relaxation(250.0, 1.0, 0.5), Relaxation(250.0, 1.0, 0.5)),
    # T1, T2 at 3 T F; the rest I (fat at 1.5 T near E)
    Tissue.MARROW: Substance(0.7, Relaxation(549.0, 49.0, 20.0), Relaxation(586.0, 49.0, 15.0), 0.02, 2.0),
    Tissue.FAT: Substance(0.95, Relaxation(343.0, 58.0, 50.0), Relaxation(382.0, 68.0, 40.0), 0.01, 2.0),
    # T1, T2 B, T2* at 1.5 T E, the rest I; skin and muscle are not distinguished
    Tissue.MUSCLE: Substance(0.8, Relaxation(1008.0, 44.0, 30.0), Relaxation(1412.0, 50.0, 28.0), 0.12, 2.0),
}
