"""The conformance battery: what every engine must do, as checks that anybody can run.

    report = await check_engine(MyEngine)
    print(report)

`CHECKS` is for parametrised tests: `result = await run_check(check, MyEngine, server.url)`. Third
parties can run it from the command line: `ktor-client conform my_package:MyEngine`.
"""

from ktor_client.testing.conformance.battery import CHECKS
from ktor_client.testing.conformance.check import Check, CheckFailure, Lab, SkippedCheck
from ktor_client.testing.conformance.report import Report, Result
from ktor_client.testing.conformance.runner import check_engine, run_check

__all__ = [
    "CHECKS",
    "Check",
    "CheckFailure",
    "Lab",
    "Report",
    "Result",
    "SkippedCheck",
    "check_engine",
    "run_check",
]
