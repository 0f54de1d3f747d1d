/**
 * Daemons, seen from both sides: the process that serves a mount, and the commands that start, find, ask and end it.
 *
 * <p>Start at {@link io.ucow.cli.daemon.Daemon} (its life), {@link io.ucow.cli.daemon.Daemons} (what commands do with
 * daemons, dead ones included) and {@link io.ucow.cli.daemon.RunDirectory} (through which they know of each other).
 *
 * <pre>
 *        commands                              the daemon
 *   DaemonLauncher --- StartedDaemon ==pipes== DaemonMain
 *        |                                         |
 *     Daemons -------- ControlClient ==socket== ControlServer --- Requests --- Daemon
 *        |                    lines: Replies                                  |      |
 *        +---- DaemonState, ServedFile ---- RunDirectory ---------------------+   DeviceSource
 *                                                                            images or a device table
 * </pre>
 *
 * <p>What a device does is the engine's, what the kernel sees is {@link io.ucow.fuse}'s; exit codes and error lines are
 * made by the command line and handed in.
 *
 * <p>Threading: a daemon has one thread that waits for its end, one that accepts connections, one for each connection,
 * and those of its transport. Commands are one thread.
 */
package io.ucow.cli.daemon;
