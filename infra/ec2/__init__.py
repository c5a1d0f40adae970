"""A cluster of EC2 instances: what is asked of AWS, what it costs, and how all of it is found and ended again."""
