//! `completions` and `man`: the grammar, written for a shell and for a reader.

use clap::Args;
use clap_complete::Shell;

use super::{CliError, Session};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(
    session: &Session,
    args: &CompletionsArgs,
    mut parser: clap::Command,
) -> Result<(), CliError> {
    let (name, mut script) = (parser.get_name().to_owned(), Vec::new());
    clap_complete::generate(args.shell, &mut parser, name, &mut script);
    session.output().text(|out| out.write_all(&script))
}

pub(super) fn man(session: &Session, parser: clap::Command) -> Result<(), CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(parser).render(&mut page)?;
    session.output().text(|out| out.write_all(&page))
}
