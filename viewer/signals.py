"""What happened to slides and pairs, for whoever wants to know (registration listens)."""

from django.dispatch import Signal

pair_created = Signal()  # sends: pair (SlidePair)
slide_rescaled = Signal()  # sends: slide (Slide), whose um/px is now another one
