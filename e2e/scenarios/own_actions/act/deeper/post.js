console.log('post of the own action')
