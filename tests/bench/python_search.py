"""mlflowha.Client's side of the comparison on a large search; speaks the same lines as search.cpp. Usage: python_search.py URL"""

import json
import sys
import time

from mlflowha import Client


def main() -> None:
    client = Client(sys.argv[1], timeouts_call=120, timeouts_attempt=120)
    for line in sys.stdin:
        experiment, runs = line.split()
        cpu, start = time.process_time(), time.perf_counter()
        page = client.search_runs([experiment], max_results=int(runs))
        assert len(page) == int(runs) and page[0].data.metrics
        del page
        answer = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - start}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
