#!/bin/bash
cat "${snakemake_input[0]}" > "${snakemake_output[0]}"
echo "${snakemake[rule]} ${snakemake[threads]} ${snakemake_params[p]}" >> "${snakemake_output[0]}"
