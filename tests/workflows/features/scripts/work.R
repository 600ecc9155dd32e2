text <- c(readLines(snakemake@input[[1]]), snakemake@params$p, snakemake@params$n + 1, snakemake@rule,
          snakemake@config$name, snakemake@threads)
writeLines(text, snakemake@output[[1]])
