open(snakemake.output[1], "w") do file
    println(file, snakemake.rule)
end
