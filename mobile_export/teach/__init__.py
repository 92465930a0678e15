"""Gestures of one's own from a few clips: frozen features, an honest judgement, a bundle.

``folder`` reads what was recorded, ``features`` what a frozen trunk makes of it, ``crossval``
judges by recording session, ``rule`` chooses the decision rule, ``job`` runs all of it and can be
resumed, ``progress`` tells a page how far it is.
"""
