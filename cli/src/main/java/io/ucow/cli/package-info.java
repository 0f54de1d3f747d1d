/**
 * The command line: one small class for each verb.
 *
 * <p>Start at {@link io.ucow.cli.UcowCli} (all verbs, and what happens when one fails), {@link io.ucow.cli.ExitCodes}
 * (what scripts may rely on) and any verb, such as {@link io.ucow.cli.AttachCommand}. A verb reads its arguments, asks
 * {@code io.ucow.store}, {@code io.ucow.loop} or a daemon, and prints; how daemons live is left to
 * {@link io.ucow.cli.daemon}, what output looks like to {@link io.ucow.cli.text}.
 *
 * <pre>
 *   bin/ucow attach a.cow                       bin/ucow daemon
 *     one short JVM                               one JVM for each mount
 *         |   a pipe, until the files are ready      |
 *         | &lt;--------------------------------------&gt; |---- images, FUSE mount
 *         |                                          |
 *         |   reads         /run/ucow       writes   |
 *         +--------------&gt;  ID.json      &lt;-----------+
 *         |   asks          ID.sock        answers   |
 *         +--------------&gt;  ID.log       &lt;-----------+
 * </pre>
 *
 * <p>Start-up is short because of what is not done: only the verb that is asked for is declared
 * ({@link io.ucow.cli.Verb}), {@code daemon} and {@code keeper} are none ({@link io.ucow.cli.OwnProcess}), and each class is
 * loaded when its verb needs it: {@code --help} and {@code list} load neither the native libraries nor any plug-in.
 *
 * <p>Threading: a command is one thread.
 */
package io.ucow.cli;
