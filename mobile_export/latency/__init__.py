"""What a bundle's artifact takes on this machine: times by stage, memory, operators.

``__main__`` is the command line. Each number of threads is measured in a process of its own:
``process`` starts it, ``worker`` is it. In there ``paths`` calls the live path, ``measure`` takes
the times, ``stats`` sums them up; ``trace`` times the operators in another process still.
``device`` says what the machine is, ``pictures`` makes the frames, ``document`` the JSON of
``latency.schema.json`` and ``table`` what is printed.
"""
