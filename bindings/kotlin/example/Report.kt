import java.io.File
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import shaodao.*

/** `Report.kt SERVER TICKET FOLDER`: enrols a phone, reports a leak, syncs. */
fun main(args: Array<String>) = runBlocking {
    val (server, ticket, folder) = args
    val key = File(folder, "key") // An app keeps it in the Keystore.
    if (!key.exists()) key.writeBytes(newKey())
    val opening = Opening("$folder/phone", "$folder/unbacked", key.readBytes(), "example 1", null)
    opening.open().use { phone ->
        try {
            println("Check code: ${phone.enrolTyped(server, ticket).checkCode}")
            var owner = phone.finishEnrolment()
            while (owner == null) { // Until the administrator has confirmed.
                delay(500)
                owner = phone.finishEnrolment()
            }
            val here = Place(25.0420, 102.7065, 8.0, PositionSource.GPS)
            phone.report(Form("北门街燃气泄漏", category = "E0403", severity = 4u, place = here))
            println("${owner.name}: ${phone.findings(FindingFilter()).total} on this phone")
            println("Accepted: ${phone.sync().accepted}")
        } catch (error: PhoneException) {
            println("${error.kind}: ${error.said.text()}")
        }
        phone.shutdown()
    }
}
