#!/usr/bin/env python
"""Train or evaluate a config of this project, with the flags of Detectron2's own train_net.py.

python projects/focal_star/train_net.py --config-file CONFIG [--resume] [--eval-only]
    [--num-gpus N] [KEY VALUE ...]

Exit codes: 0 done, 1 the results are not TEST.EXPECTED_RESULTS, 2 the config or the data set cannot
be used, 3 diverged, 4 interrupted by SIGTERM (--resume continues), 5 a file cannot be written or
read, 130 interrupted by Ctrl-C (--resume continues from the last checkpoint). However it ends, its
processes end with it.
"""

from focal_star.training import interruption

if __name__ == "__main__":
    interruption.exit_on_sigterm()  # first: what follows takes seconds to import
    with interruption.ctrl_c_ends():
        from focal_star.training.command import main

        main()
