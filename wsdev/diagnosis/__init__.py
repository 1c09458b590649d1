"""What broke, from what was seen: facts in, verdict out. Pure.

``facts`` is what a probe saw, ``…_faults`` the table of what can be wrong, ``…_rules`` how the one
leads to the other, ``diagnose`` the whole.
"""
