"""The two ways a command can fail, and their exit statuses."""


class InputError(Exception):
    """The data set or the configuration is wrong: exit status 2. The message names the file or key and the mend."""


class BusyError(InputError):
    """Another process is working on it: the same command may succeed later."""


class JobError(Exception):
    """The job itself failed: exit status 1. The message names the stage or class and what to do."""
