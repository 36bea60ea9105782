"""The anatomical system of a structure by its name, for models that name structures in plain English and no systems."""

from __future__ import annotations

import re

from .labels import OTHER_GROUP, PATHOLOGY_GROUP

# In this order: an "iliac_artery_left" is a vessel, an "iliopsoas_left" a muscle, an "iliac bone" a bone.
_SYSTEMS = (
    (
        PATHOLOGY_GROUP,
        r"nodule|lesion|tumou?r|cyst|effusion|bleed|ha?emorrhage|aneurysm|dissection|implant|metasta|covid",
    ),
    (
        "cardiovascular",
        r"aort|arter|vein|vena|venous|heart|atri|ventricle_(left|right)|myocard|atrial|pericard|vessel|portal|brachiocephalic_trunk|"
        r"carotid|coronary|sinus(es)?_of_valsalva|cusp|annulus|leaflet",
    ),
    (
        "muscles",
        r"muscle|gluta?eus|autochthon|iliopsoas|psoas|trapezius|pectoralis|deltoid|supraspinatus|infraspinatus|subscapularis|"
        r"quadriceps|hamstring|sartorius|gracilis|masseter|temporalis|pterygoid|digastric|sternocleido|scalene|splenius|levator|"
        r"constrictor|oblique|rectus|coracobrachial|teres|adductor|thigh_",
    ),
    (
        "bones",
        r"(^|_)ribs?(_|$)|vertebra|sacrum|sternum|costal|clavicul|scapula|humerus|femur|(^|_)hip(_|$)|skull|patella|tibia|fibula|"
        r"tarsal|metatars|phalang|ulna|radius|carpal|bone|mandible|maxilla|jawbone|zygomatic|hyoid|tooth|teeth|incisor|canine|molar|"
        r"disc",
    ),
)


def system_of(name: str) -> str:
    """``bones``, ``muscles``, ``cardiovascular``, ``pathologies`` or ``other organs``."""
    return next((system for system, names in _SYSTEMS if re.search(names, name, re.IGNORECASE)), OTHER_GROUP)
