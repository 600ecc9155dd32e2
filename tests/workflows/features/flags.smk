TARGETS += ["out/flags/from_temp.txt", "out/flags/protected.txt", "out/flags/touched", "out/flags/folder"]
TARGETS += ["out/flags/filled.txt", "out/flags/fixed.txt", "out/flags/reported.txt", "out/flags/updated.txt"]

rule temporary:
    output: temp("out/flags/temp.txt"), temp(directory("out/flags/temp"))
    shell: "echo temporary > {output[0]}; mkdir {output[1]}; touch {output[1]}/inside"

rule from_temporary:
    input: "out/flags/temp.txt", "out/flags/temp"
    output: "out/flags/from_temp.txt"
    shell: "cat {input[0]} > {output}; ls {input[1]} >> {output}"

rule protected:
    output: protected("out/flags/protected.txt")
    shell: "echo protected > {output}"

rule touched:
    output: touch("out/flags/touched")
    shell: "true"

rule folder:
    output: directory("out/flags/folder")
    shell: "mkdir -p {output}/deep; echo 1 > {output}/one; ln -s one {output}/link; echo 2 > {output}/deep/two"

rule filled:
    output: ensure("out/flags/filled.txt", non_empty=True)
    shell: "echo filled > {output}"

rule fixed:
    output: ensure("out/flags/fixed.txt", sha256="0c3071418e6356e614898c84ed064ca95e88551bc0811b534bdf1952ecdae534")
    shell: "echo fixed > {output}"

rule reported:
    output: report("out/flags/reported.txt", category="texts")
    shell: "echo reported > {output}"

rule updated:
    input: "config.yaml"
    output: update("out/flags/updated.txt")
    shell: "echo more >> {output}"
