// A real OpenID provider on loopback, whose accounts are whoever logs in: the groups are in the name, as in
// ann.analysts.platform. It prints its issuer when it is there.
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://127.0.0.1:${server.address().port}`
const { privateKey } = await generateKeyPair('RS256', { extractable: true })
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'towpath',
      client_secret: 'a secret that both know',
      redirect_uris: [`${process.env.TOWPATH_PUBLIC_URL}/api/v1/session/provider/callback`],
    },
  ],
  jwks: { keys: [{ ...(await exportJWK(privateKey)), use: 'sig', alg: 'RS256', kid: 'one' }] },
  cookies: { keys: ['of the test'] },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
  pkce: { required: () => true },
  findAccount: (_, id) => {
    const [name, ...groups] = id.split('.')
    return { accountId: id, claims: () => ({ sub: id, preferred_username: name, groups }) }
  },
})
server.on('request', provider.callback())
console.log(`issuer ${issuer}`)
