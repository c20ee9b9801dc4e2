"""When Pulse runs: the code location, jobs, schedules, sensors and the ``pulse`` command."""
