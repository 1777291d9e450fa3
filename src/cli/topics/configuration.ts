export const configuration = `Configuration and profiles

Every flag may have a default of your own:

  kt config set up.dns resolvconf     the flag --dns of \`kt up\`
  kt config set namespace shop        --namespace of every command that has it
  kt config set exclude 10.8.0.0/16 192.168.0.0/16
  kt config get namespace
  kt config unset namespace
  kt config show                      what is set; --all lists every key

A profile is a set of such defaults under a name:

  kt config --profile work set context work-cluster
  kt config --profile work set up.image registry.work.example/kt-shadow:1
  kt up --profile work           or KT_PROFILE=work kt up

What beats what: a flag on the command line, then the environment (\`kt help
environment\`), then the profile, then the defaults, then kt's own. A key of one
command (up.image) beats the one of all commands (image).

The file is ~/.config/kt/config.json, or kt/config.json in XDG_CONFIG_HOME.
Under sudo it is the file of the user who called sudo.
`
