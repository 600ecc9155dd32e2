use std::io::Write;
let mut file = std::fs::File::create(&snakemake.output[0])?;
writeln!(file, "{}", snakemake.rule)?;
