"""The table of run.sh: table.py INSTRUCTIONS TIMES. A line of either is what was done, then a number for each program."""
import statistics
import sys

PARTS = ["the trace", "the trap", "stats and probes", "nothing"]
COLUMNS = [2, 3, 4, 1]  # of the program without it; 0 has all


def read(path, what, unit):
    with open(path, encoding="ascii") as lines:
        words = [line.split() for line in lines]
    rows = [[int(number) / unit for number in numbers] for name, *numbers in words if name == what]
    return list(zip(*rows))


def percent(ratio):
    return f"{round((ratio - 1) * 100, 1) + 0:.1f} %"  # + 0: no -0.0


print(f"{'one':8} {'without':16} {'instructions':>21} {'price':>7} {'nanoseconds':>17} {'price':>7}   half of the turns")
for one in ("message", "life"):
    counted = read(sys.argv[1], one, 100)
    timed = read(sys.argv[2], one, 1000)
    for part, column in zip(PARTS, COLUMNS):
        all_of_it, rest = counted[0][0], counted[column][0]
        print(f"{one:8} {part:16} {all_of_it:8.1f} against {rest:6.1f}", f"{percent(all_of_it / rest):>7}", end=" ")
        # Turn by turn: what else the machine does in one, it does to both.
        low, middle, high = statistics.quantiles([a / b for a, b in zip(timed[0], timed[column])], n=4)
        all_of_it, rest = statistics.median(timed[0]), statistics.median(timed[column])
        print(f"{all_of_it:6.1f} against {rest:5.1f}", f"{percent(middle):>7}   {percent(low)} to {percent(high)}")
