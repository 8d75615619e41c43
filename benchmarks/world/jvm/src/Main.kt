// One run of a client on the JVM; arguments, after the client's name, and output as ../../README.md says.

import com.sun.management.OperatingSystemMXBean
import java.io.File
import java.lang.management.ManagementFactory
import kotlin.system.exitProcess
import kotlinx.coroutines.runBlocking

/** At a time, more than any scenario opens. */
const val SESSIONS = 10_000

/** One session of a client library, used as its documentation says. */
interface Session {
    suspend fun send(message: Message)

    /**
     * The length of the last of the [count] messages that come once [trigger] has sent what they answer.
     * Each but the last is answered, if there is an [answer].
     */
    suspend fun receive(count: Int, answer: Message? = null, trigger: suspend () -> Unit): Int

    suspend fun close()
}

class Message(val binary: Boolean, size: Int) {
    val text = "x".repeat(size)
    val bytes = text.encodeToByteArray()
}

class Run(arguments: List<String>, private val opener: suspend (String) -> Session) {
    private val kind = arguments[0]
    private val url = arguments[1]
    private val size = arguments[3].toInt()
    private val message = Message(arguments[2] == "binary", size)
    private val count = arguments[4].toInt()
    private val warmUp = arguments[5].toDouble()
    private val budget = arguments[6].toDouble()

    suspend fun values() = if (kind == "memory") memory() else measure(chunk())

    private suspend fun open() = opener(url)

    private fun check(length: Int, expected: Int) =
        check(length == expected) { "the last message has length $length, expected $expected" }

    /** What is done again and again, [count] units each time. */
    private suspend fun chunk(): suspend () -> Unit {
        if (kind == "connect") return { repeat(count) { open().close() } }
        val session = open()
        val go = Message(binary = false, size = 2)
        return when (kind) {
            "receive" -> ({ check(session.receive(count) { session.send(go) }, size) })
            "send" -> ({ check(session.receive(1) { repeat(count) { session.send(message) } }, 4) })
            "round_trips" -> ({ check(session.receive(count, message) { session.send(message) }, size) })
            else -> error("there is no scenario of kind $kind")
        }
    }

    private suspend fun measure(chunk: suspend () -> Unit): Map<String, Double> {
        val start = cpuSeconds()
        while (cpuSeconds() - start < warmUp) chunk()
        var units = 0L
        val wall = System.nanoTime()
        val cpu = cpuSeconds()
        while (cpuSeconds() - cpu < budget) {
            chunk()
            units += count
        }
        return mapOf(
            "cpu_us" to (cpuSeconds() - cpu) * 1e6 / units,
            "wall_us" to (System.nanoTime() - wall) / 1e3 / units,
        )
    }

    private suspend fun memory(): Map<String, Double> {
        repeat(20) { open().close() }
        System.gc()
        val before = kib("VmRSS")
        val sessions = List(count) { open() }
        System.gc()
        val grown = kib("VmRSS") - before
        sessions.forEach { it.close() }
        return mapOf("kib" to grown / count)
    }
}

private val system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean::class.java)

private fun cpuSeconds() = system.processCpuTime / 1e9

private fun kib(field: String): Double {
    val line = File("/proc/self/status").readLines().single { it.startsWith("$field:") }
    return line.split(Regex("\\s+"))[1].toDouble()
}

fun main(arguments: Array<String>) {
    require(arguments.size == 8) { "usage: MainKt CLIENT KIND URL TYPE SIZE COUNT WARM_UP BUDGET" }
    val opener = when (arguments[0]) {
        "ktor-cio" -> ktorCio()
        "okhttp" -> okHttp()
        else -> error("there is no client called ${arguments[0]}")
    }
    val values = runBlocking { Run(arguments.drop(1), opener).values() } + ("peak_kib" to kib("VmHWM"))
    println(values.entries.joinToString(", ", "{", "}") { (name, value) -> "\"$name\": $value" })
    exitProcess(0) // the clients' threads would keep the process
}
