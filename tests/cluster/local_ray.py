"""A Ray cluster of two machines on this one, as long as the standard input is open; prints its address.

Every line that comes in ends the second machine without a word.
"""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

own = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args=own)
del own["include_dashboard"]
other = cluster.add_node(**own)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(other, allow_graceful=False)
    print("ended", flush=True)
cluster.shutdown()
