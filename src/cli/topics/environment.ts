export const environment = `Environment

  KUBECONFIG       kubeconfig files, as for kubectl; --kubeconfig beats it
  KT_PROFILE       the profile to use; --profile beats it
  KT_FLAG          a default for a flag of every command that has it:
                   KT_NAMESPACE=shop, KT_READY_TIMEOUT=120, KT_DNS=none
                   (not for --log and --shell, which have no variable)
  KT_LOG=debug     more in the log, and where a mistake of kt's happened
  KT_SHELL         set by kt for the programs of a shell: the shell's name
  NO_COLOR         no colours
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                   the way to the API server, where the kubeconfig names none
  XDG_CONFIG_HOME  where kt/config.json is (default ~/.config)
  XDG_STATE_HOME   where kt/kt.log is (default ~/.local/state)
  XDG_RUNTIME_DIR  where commands that run in the background are reached

sudo drops most of these. \`kt up\` without sudo keeps them (it asks sudo for the
small part that needs root); or name them: sudo --preserve-env=KUBECONFIG kt up.

Credential plugins of a kubeconfig run as you, not as root, with the environment
of your shell. After \`sudo kt up\` it is what sudo left of it, with the PATH of a
fresh login, ~/.local/bin and ~/bin first.
`
