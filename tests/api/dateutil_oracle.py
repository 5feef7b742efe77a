"""When the next month begins, by python-dateutil: a line `now next` for days of so many months."""

import datetime
import sys

from dateutil.relativedelta import relativedelta

start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
written = "%Y-%m-%dT%H:%M:%SZ"
for day in range(31):
    for months in range(int(sys.argv[1])):
        # A day that the month does not have is its last one.
        now = start + relativedelta(months=months, day=day + 1, hour=23, minute=59, second=59)
        following = now + relativedelta(months=1, day=1, hour=0, minute=0, second=0)
        print(now.strftime(written), following.strftime(written))
