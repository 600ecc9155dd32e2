TARGETS += ["out/modules/out.txt", "out/modules/script.txt", "out/modules/changed.txt", "out/modules/inherited.txt", "out/modules/source.txt"]

module other:
    snakefile: "other/Snakefile"
    config: {"name": "the config of a module"}
    replace_prefix: {"results": "out/modules"}

use rule * from other as other_*

use rule out from other as other_changed with:
    output: "out/modules/changed.txt"
    params: p="another"

use rule local as inherited with:
    output: "out/modules/inherited.txt"
    localrule: False
