package shaodao

import java.io.File
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse.BodyHandlers
import java.nio.file.Path

/** The morning on which every story begins: 2026-11-25 09:00 in Shanghai. */
const val MORNING_MS = 1_795_568_400_000L
const val HOUR_MS = 3_600_000L

/** How full this machine's disk is must not decide how a story ends. */
private val settings = mapOf("SHAODAO_LOG_LEVEL" to "warn", "SHAODAO_EVIDENCE_RESERVE_BYTES" to "0")

/** A real server process on a free port, with an administrator beside it. */
class Server(private val folder: Path, rehearsalMs: Long? = MORNING_MS) : AutoCloseable {
    private val program = System.getProperty("shaodao.server")
    private val data = folder.resolve("server").toString()
    private val process: Process = ProcessBuilder(
        listOf(program, "--data", data, "serve", "--listen", "127.0.0.1:0") +
            listOfNotNull(rehearsalMs).flatMap { listOf("--rehearsal-ms", "$it") },
    ).apply { environment() += settings }
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()

    val address: String = "http://" + process.inputReader().readLine().removePrefix("listening on ")

    /** An enrolment ticket for somebody. */
    fun ticket(person: String): String = field(admin("ticket", "--person", person), "ticket")

    /** The administrator has compared the check code. */
    fun confirm(checkCode: String) = admin("confirm", checkCode)

    /** Moves the server's clock. */
    fun setClock(nowMs: Long) {
        val request = HttpRequest.newBuilder(URI("$address/rehearsal/clock"))
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"now_ms\":$nowMs}")).build()
        val answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString())
        check(answer.statusCode() == 200) { answer.body() }
    }

    /** Accepts connections and answers nothing, until it is woken. */
    fun freeze() = signal("STOP")

    fun wake() = signal("CONT")

    override fun close() {
        process.destroyForcibly().waitFor()
    }

    private fun signal(name: String) {
        ProcessBuilder("kill", "-s", name, "${process.pid()}").inheritIO().start().waitFor()
    }

    private fun admin(vararg arguments: String): String {
        val command = listOf(program, "--data", data, "admin", "--json", "--as", "Wen") + arguments
        val admin = ProcessBuilder(command).redirectError(File("$folder/admin.log")).start()
        val said = admin.inputReader().readText()
        check(admin.waitFor() == 0) { "$said${File("$folder/admin.log").readText()}" }
        return said
    }

    private fun field(json: String, name: String): String =
        checkNotNull(Regex("\"$name\":\\s*\"([^\"]+)\"").find(json)) { json }.groupValues[1]
}

/** A phone's clocks, in the hands of a story. */
class Hours {
    @Volatile
    var nowMs = MORNING_MS
    val source = timeFrom { Reading(nowMs, (nowMs - MORNING_MS + 60_000).toULong()) }
}

/** Opens a phone in a folder of its own. */
suspend fun open(folder: Path, name: String, hours: Hours, key: ByteArray = newKey()): Phone =
    Opening("$folder/$name", "$folder/$name.unbacked", key, "test 1", "boot 1").open(hours.source)

/** Opens a phone and makes it somebody's. */
suspend fun enrolled(server: Server, folder: Path, person: String, hours: Hours): Phone {
    val phone = open(folder, person, hours)
    val pending = phone.enrolTyped(server.address, server.ticket(person))
    check(phone.finishEnrolment() == null) { "enrolled before anybody confirmed" }
    server.confirm(pending.checkCode)
    checkNotNull(phone.finishEnrolment())
    phone.sync()
    return phone
}
