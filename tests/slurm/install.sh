#!/bin/sh
# Installs Slurm and Munge from Debian's packages, as root; says why it does not where it cannot.
command -v slurmctld slurmd munged > /dev/null && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "Slurm is not installed: this needs root"
elif ! command -v apt-get > /dev/null; then
  echo "Slurm is not installed: there is no apt-get"
else
  { apt-get update --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes \
    --no-install-recommends slurm-wlm munge; } > /dev/null || echo "Slurm is not installed: apt-get failed"
fi
