VALUE = "from a module beside the script"
