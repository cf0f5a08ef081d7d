"""What a voxel can consist of, and its magnetic-resonance parameters with their sources.

Values are rounded, and were written down without the papers at hand: check one before relying on it for more than contrast.
Sources, by the letters in the table:
    A  Wright et al., MAGMA 21:121 (2008): T1 of white and cortical grey matter at 1.5 and 3 T (MPRAGE)
    B  Stanisz et al., Magn Reson Med 54:507 (2005): T2 of white and grey matter; T1, T2 of blood and muscle, 1.5 and 3 T
    C  Rooney et al., Magn Reson Med 57:308 (2007): T1 against field of cerebrospinal fluid and deep grey matter
    D  Peters et al., Magn Reson Imaging 25:748 (2007): T2* of grey and white matter, caudate and putamen, 1.5 and 3 T
    E  Kwan, Evans and Pike, IEEE Trans Med Imaging 18:1085 (1999), the BrainWeb simulator: proton densities; T2* of fat and CSF
    F  de Bazelaire et al., Radiology 230:652 (2004): T1, T2 of subcutaneous fat and bone marrow, 1.5 and 3 T
    G  Piechnik et al., Magn Reson Med 61:579 (2009): T2 of cerebrospinal fluid is about 2 s
    H  Bastin et al., NeuroReport 13:1335 (2002); Oh et al., J Magn Reson Imaging 21:701 (2005); Just and Thelen, Radiology
       169:779 (1988): T1, T2 of oedema and glioma; reports spread widely, and a value from the middle stands here
    I  Chosen here: no measurement was found; set so that the tissue looks as it does in clinical images
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Tissue(IntEnum):
    """Rows of an array of tissue fractions."""

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


TUMOUR_LABELS = {Tissue.NECROSIS: 1, Tissue.SOLID: 1, Tissue.OEDEMA: 2, Tissue.ENHANCING: 4}  # as in the BraTS archives
# (left, right) values of a subject's tissue map. All nuclei but the pallidum carry the thalamus's value; lesions carry FreeSurfer's.
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
    Tissue.BONE: (165, 165),
    Tissue.MARROW: (165, 165),
    Tissue.FAT: (258, 258),
    Tissue.MUSCLE: (258, 258),
}
OUTSIDE_BRAIN = (Tissue.AIR, Tissue.BONE, Tissue.MARROW, Tissue.FAT, Tissue.MUSCLE)  # what skull-stripping takes away


@dataclass(frozen=True)
class Relaxation:
    """Times [ms] at one field strength."""

    t1: float
    t2: float
    t2_star: float


@dataclass(frozen=True)
class Substance:
    """A tissue's parameters.

    Attributes:
        density: protons relative to water.
        at_1_5_tesla: relaxation at 1.5 T.
        at_3_tesla: relaxation at 3 T.
        gadolinium: concentration of contrast agent [mmol/l of tissue] minutes after a single dose.
        heterogeneity: how much more its parameters vary from place to place than those of healthy parenchyma.
        flows: whether its spins leave the slice between excitation and refocusing (dark in spin echoes).
    """

    density: float
    at_1_5_tesla: Relaxation
    at_3_tesla: Relaxation
    gadolinium: float = 0.0
    heterogeneity: float = 1.0
    flows: bool = False


_NOTHING = Relaxation(1000.0, 1.0, 1.0)
# gadolinium: plasma holds about 0.6-1 mmol/l some minutes after 0.1 mmol/kg; intact brain holds it in its 2-5 % of blood only;
# leaking tissue takes up about half of the plasma's concentration (source I, magnitudes as in Tofts, J Magn Reson Imaging 7:91, 1997).
SUBSTANCES: dict[Tissue, Substance] = {
    Tissue.AIR: Substance(0.0, _NOTHING, _NOTHING, heterogeneity=0.0),
    # T1 C, T2 G, T2* I (E gives 58 ms, of partial volumes), density E
    Tissue.CSF: Substance(1.0, Relaxation(4070.0, 2000.0, 1000.0), Relaxation(4160.0, 2000.0, 800.0), 0.0, 0.3),
    # T1 A, T2 B, T2* D, density E
    Tissue.GREY: Substance(0.86, Relaxation(1197.0, 95.0, 84.0), Relaxation(1607.0, 99.0, 66.0), 0.04),
    Tissue.WHITE: Substance(0.77, Relaxation(646.0, 72.0, 66.0), Relaxation(838.0, 69.0, 53.0), 0.015),
    # Thalamus, caudate, putamen: T1 C (3 T: scaled as A's grey matter), T2 below cortex for their iron (I), T2* D, density E (grey)
    Tissue.DEEP_GREY: Substance(0.84, Relaxation(1020.0, 84.0, 57.0), Relaxation(1320.0, 79.0, 40.0), 0.04),
    # T1 C (pallidum, close to white matter), T2 and T2* shortest for the iron (I), density I
    Tissue.PALLIDUM: Substance(0.78, Relaxation(770.0, 66.0, 40.0), Relaxation(1010.0, 58.0, 28.0), 0.03),
    # A mixture of grey and white matter: between them (I)
    Tissue.BRAIN_STEM: Substance(0.79, Relaxation(740.0, 80.0, 68.0), Relaxation(960.0, 76.0, 54.0), 0.02),
    # T1, T2 I (between grey matter and CSF); a vascular tissue without a barrier
    Tissue.CHOROID: Substance(0.92, Relaxation(1500.0, 160.0, 90.0), Relaxation(1900.0, 150.0, 75.0), 0.45, 2.0),
    # T1, T2 B
    Tissue.VESSEL: Substance(0.9, Relaxation(1441.0, 290.0, 120.0), Relaxation(1932.0, 275.0, 60.0), 0.55, 1.0, True),
    # T1, T2 H for necrosis and cyst: proteinaceous fluid, shorter than CSF
    Tissue.NECROSIS: Substance(0.93, Relaxation(2300.0, 260.0, 150.0), Relaxation(2700.0, 240.0, 120.0), 0.03, 2.5),
    # T1, T2 H
    Tissue.OEDEMA: Substance(0.88, Relaxation(1250.0, 150.0, 110.0), Relaxation(1540.0, 145.0, 90.0), 0.015, 2.0),
    # T1, T2 H for solid glioma
    Tissue.ENHANCING: Substance(0.87, Relaxation(1250.0, 125.0, 85.0), Relaxation(1600.0, 118.0, 65.0), 0.5, 2.5),
    # T1, T2 H for low-grade glioma
    Tissue.SOLID: Substance(0.89, Relaxation(1350.0, 165.0, 115.0), Relaxation(1680.0, 160.0, 95.0), 0.03, 2.0),
    # Cortical bone: almost nothing within clinical echo times (I)
    Tissue.BONE: Substance(0.06, Relaxation(250.0, 1.0, 0.5), Relaxation(250.0, 1.0, 0.5)),
    # T1, T2 F, density E (fat)
    Tissue.MARROW: Substance(0.7, Relaxation(549.0, 49.0, 20.0), Relaxation(586.0, 49.0, 15.0), 0.02, 2.0),
    Tissue.FAT: Substance(0.95, Relaxation(343.0, 58.0, 50.0), Relaxation(382.0, 68.0, 40.0), 0.01, 2.0),
    # T1, T2 B (muscle); skin and muscle are not told apart
    Tissue.MUSCLE: Substance(0.8, Relaxation(1008.0, 44.0, 30.0), Relaxation(1412.0, 50.0, 28.0), 0.12, 2.0),
}
