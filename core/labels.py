"""The classes of the embedded gestures, and the label of what has none."""

LABELS = (
    "Doing other things", "Drumming Fingers", "No gesture", "Pulling Hand In",
    "Pulling Two Fingers In", "Pushing Hand Away", "Pushing Two Fingers Away",
    "Rolling Hand Backward", "Rolling Hand Forward", "Shaking Hand", "Sliding Two Fingers Down",
    "Sliding Two Fingers Left", "Sliding Two Fingers Right", "Sliding Two Fingers Up", "Stop Sign",
    "Swiping Down", "Swiping Left", "Swiping Right", "Swiping Up", "Thumb Down", "Thumb Up",
    "Turning Hand Clockwise", "Turning Hand Counterclockwise", "Zooming In With Full Hand",
    "Zooming In With Two Fingers", "Zooming Out With Full Hand", "Zooming Out With Two Fingers",
)  # fmt: skip
NO_GESTURE, OTHER = "No gesture", "Doing other things"

# (runs forwards, runs backwards): ten pairs that are one motion, told apart by the order of time.
# Of capsules by that alone; made-up people hold a hand otherwise for one class than for the other.
TIME_PAIRS = (
    ("Swiping Left", "Swiping Right"),
    ("Swiping Down", "Swiping Up"),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    ("Sliding Two Fingers Down", "Sliding Two Fingers Up"),
    ("Pushing Hand Away", "Pulling Hand In"),
    ("Pushing Two Fingers Away", "Pulling Two Fingers In"),
    ("Rolling Hand Forward", "Rolling Hand Backward"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    ("Zooming In With Full Hand", "Zooming Out With Full Hand"),
    ("Zooming In With Two Fingers", "Zooming Out With Two Fingers"),
)
STATIC_LABELS = ("No gesture", "Stop Sign", "Thumb Down", "Thumb Up")
# Mirroring the hand mirrors these motions, so a left hand runs them the other way round.
LATERAL = ("Swiping Left", "Sliding Two Fingers Left", "Turning Hand Clockwise")
IGNORE = -1  # label of a frame from which no gesture can be known yet
